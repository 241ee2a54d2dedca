-- What the models' answers used: a row for each day of the host's time zone (`2026-02-01`), group, provider and
-- model. The model is empty where no answer named it. Costs are billionths of a US dollar, reckoned with the
-- prices of their time; `unpriced` counts the requests whose model had none.
CREATE TABLE usage (
    day           TEXT NOT NULL,
    group_id      TEXT NOT NULL,
    provider      TEXT NOT NULL,
    model         TEXT NOT NULL,
    requests      INTEGER NOT NULL,
    input         INTEGER NOT NULL,
    cache_write   INTEGER NOT NULL,
    cached_input  INTEGER NOT NULL,
    output        INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    unpriced      INTEGER NOT NULL,
    PRIMARY KEY (day, group_id, provider, model)
) STRICT, WITHOUT ROWID;
