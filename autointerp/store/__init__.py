"""The store: one DuckDB file, one writer, readers that open per request and let go.

    schema      schema.sql and its version
    columns     NumPy, lists and Arrow to the columns of a table, and list columns back
    opening     create, open, explain what is in the way
    snapshot    the copy that others read while a run holds the file
    writer      StoreWriter: transactions of whole stages
    reader      StoreReader: read-only, locked down
    evidence    typed reads for the stages that follow
    verify      is what the store says true? (checks/*.sql)
    docs        the page docs/SCHEMA.md

Only this package imports duckdb; importing it does not.
"""
