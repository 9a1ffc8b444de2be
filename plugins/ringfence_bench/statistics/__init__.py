"""What a table of runs says, one method a module. Pure functions, no random numbers but seeded."""
