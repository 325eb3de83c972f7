"""Hot statements as plain SQL (docs/decisions/0003-plain-sql.md)."""
