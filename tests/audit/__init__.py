"""The audit on a real PostgreSQL: a clean ledger passes, each kind of damage is named."""
