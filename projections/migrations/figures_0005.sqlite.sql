DROP INDEX IF EXISTS ix_sales_product;

DROP INDEX IF EXISTS ix_interest_product;

DROP INDEX IF EXISTS ix_returns_product;
