CREATE TABLE IF NOT EXISTS returns (
    generation BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    product_id TEXT COLLATE "C" NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    sale_refunds BIGINT NOT NULL,
    sale_refunded_minor BIGINT NOT NULL,
    traced_refunds BIGINT NOT NULL,
    traced_refunded_minor BIGINT NOT NULL,
    CONSTRAINT pk_returns PRIMARY KEY (generation, bucket, product_id, currency)
) WITH (fillfactor = 70);

CREATE INDEX IF NOT EXISTS ix_returns_product ON returns (generation, product_id, bucket);
