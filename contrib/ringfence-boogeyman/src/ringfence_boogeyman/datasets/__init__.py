"""The paper's data sets, from local folders: they are not downloaded."""
