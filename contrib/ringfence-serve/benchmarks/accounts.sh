#!/bin/sh
# What becomes of detection when a thief splits its queries over K accounts (G11). State per
# account is in seconds.cost.defense.bytes_per_client of each result.
set -eu
out=${1:?give a folder for the results}
for accounts in 1 10 100; do
    ringfence run --dataset digits --attack knockoffnet --budget 2000 --defense amao \
        --attacker-clients "$accounts" --out "$out/$accounts" --json |
        python -c "
import json, sys
r = json.load(sys.stdin)
d, cost = r['detectors']['amao'], r['seconds']['cost']['defense']
print($accounts, 'accounts: suspected', d['report']['suspected'], 'first alarm', d['first_alarm'],
      'auroc', round(d['auroc'], 3), 'substitute', r['substitute']['accuracy'],
      'bytes per client', round(cost['bytes_per_client']))"
done
