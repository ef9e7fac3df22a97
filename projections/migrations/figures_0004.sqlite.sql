CREATE TABLE IF NOT EXISTS returns (
    generation INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    product_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    sale_refunds INTEGER NOT NULL,
    sale_refunded_minor INTEGER NOT NULL,
    traced_refunds INTEGER NOT NULL,
    traced_refunded_minor INTEGER NOT NULL,
    CONSTRAINT pk_returns PRIMARY KEY (generation, bucket, product_id, currency)
) WITHOUT ROWID, STRICT;

CREATE INDEX IF NOT EXISTS ix_returns_product ON returns (generation, product_id, bucket);
