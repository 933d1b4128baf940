"""An example of each command, shown below its help."""

from __future__ import annotations

COMMANDS = {
    "demo": "fvlm-data demo demo",
    "phantom": "fvlm-data phantom phantom --patients 20",
    "init": "fvlm-data init archive --out curate.yaml",
    "ingest": "fvlm-data ingest archive/dicom --store store",
    "segment": "fvlm-data segment --store store --backend precomputed --masks masks",
    "pair": "fvlm-data pair --store store",
    "shard": "fvlm-data shard --store store --set shard.dtype=uint8",
    "curate": "fvlm-data curate curate.yaml",
    "schema": "fvlm-data schema --out curate.schema.json",
    "plugins": "fvlm-data plugins --verbose",
    "open": "fvlm-data open STUDY --store store",
    "qc": "fvlm-data qc --store store --studies all",
    "serve": "fvlm-data serve --store store --port 0",
    "search": "fvlm-data search 'left pleural effusion > 20 mm, age > 60' --store store",
    "verify": "fvlm-data verify --store store --deep",
    "doctor": "fvlm-data doctor curate.yaml",
    "report-problem": "fvlm-data report-problem problem.zip --store store",
    "upgrade": "fvlm-data upgrade --store store",
    "status": "fvlm-data status --store store --set-aside",
    "plan": "fvlm-data plan --store store --studies 100000 --workers 32 --core-hour 0.04",
    "compact": "fvlm-data compact --store store --dry-run",
    "forget": "fvlm-data forget withdrawn.csv --store store --dry-run",
    "restrict": "fvlm-data restrict PATIENT --purpose research --store store --dry-run",
    "explain": "fvlm-data explain SAMPLE --store store --why",
}
REPORTS = {
    "read": "fvlm-data reports reports.csv --store store --column report=Befund",
    "score": "fvlm-data reports score gold.jsonl",
    "gold": "fvlm-data reports gold --store store gold.jsonl",
    "compare": "fvlm-data reports compare --store store --limit 100",
}
VAULT = {
    "check": "fvlm-data vault check --store store",
    "backup": "fvlm-data vault backup safe/vault --store store",
    "restore": "fvlm-data vault restore safe/vault --store store",
    "rotate": "fvlm-data vault rotate --store store --dry-run",
    "relearn": "fvlm-data vault relearn --store store",
    "places": "fvlm-data vault places --store store",
}
AUDIT = {
    "labels": "fvlm-data audit labels labels.csv --store store --label-set ct_rate",
    "identities": "fvlm-data audit identities --store store --sample 200",
}
REVIEW = {
    "queue": "fvlm-data review queue --store store --doubtful doubtful.parquet",
    "list": "fvlm-data review list STUDY --store store --kind finding",
    "mark": "fvlm-data review mark study STUDY wrong --reviewer radiologist_1 --reason motion "
    "--store store",
    "import": "fvlm-data review import decisions.json --store store",
    "export": "fvlm-data review export decisions.json --store store",
    "agreement": "fvlm-data review agreement --store store",
    "apply": "fvlm-data review apply --store store --reviewer radiologist_1",
    "undo": "fvlm-data review undo --store store --kind mask",
}
