CREATE TABLE IF NOT EXISTS accepted_events (
    source TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_accepted_events PRIMARY KEY (source, id)
);

CREATE TABLE IF NOT EXISTS kept_answers (
    endpoint TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA NOT NULL,
    status BIGINT NOT NULL,
    body BYTEA NOT NULL,
    location TEXT COLLATE "C",
    kept_at_us BIGINT NOT NULL,
    CONSTRAINT pk_kept_answers PRIMARY KEY (endpoint, key)
);

CREATE INDEX IF NOT EXISTS ix_kept_answers_kept_at_us ON kept_answers (kept_at_us);

CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    buyer_id TEXT COLLATE "C",
    placed_at_us BIGINT NOT NULL,
    CONSTRAINT pk_orders PRIMARY KEY (order_id),
    CONSTRAINT ck_orders_status CHECK (status IN ('pending', 'paid', 'cancelled'))
);

CREATE TABLE IF NOT EXISTS products (
    product_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    price_minor BIGINT NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    likes BIGINT NOT NULL,
    CONSTRAINT pk_products PRIMARY KEY (product_id),
    CONSTRAINT ck_products_price CHECK (price_minor >= 0),
    CONSTRAINT ck_products_version CHECK (version >= 1),
    CONSTRAINT ck_products_likes CHECK (likes >= 0)
);

CREATE TABLE IF NOT EXISTS likes (
    product_id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_likes PRIMARY KEY (product_id, user_id),
    CONSTRAINT fk_likes_product_id FOREIGN KEY(product_id) REFERENCES products (product_id)
);

CREATE TABLE IF NOT EXISTS order_lines (
    order_id TEXT COLLATE "C" NOT NULL,
    line_number BIGINT NOT NULL,
    product_id TEXT COLLATE "C" NOT NULL,
    quantity BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    CONSTRAINT pk_order_lines PRIMARY KEY (order_id, line_number),
    CONSTRAINT ck_order_lines_quantity CHECK (quantity >= 1),
    CONSTRAINT ck_order_lines_amount CHECK (amount_minor >= 0),
    CONSTRAINT fk_order_lines_order_id FOREIGN KEY(order_id) REFERENCES orders (order_id),
    CONSTRAINT fk_order_lines_product_id FOREIGN KEY(product_id) REFERENCES products (product_id)
);

CREATE TABLE IF NOT EXISTS payments (
    payment_id TEXT COLLATE "C" NOT NULL,
    order_id TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    paid_at_us BIGINT NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_payments PRIMARY KEY (payment_id),
    CONSTRAINT ck_payments_outcome CHECK (outcome IN ('completed', 'failed')),
    CONSTRAINT uq_payments_order_id UNIQUE (order_id),
    CONSTRAINT fk_payments_order_id FOREIGN KEY(order_id) REFERENCES orders (order_id)
);

CREATE TABLE IF NOT EXISTS refunds (
    refund_id TEXT COLLATE "C" NOT NULL,
    order_id TEXT COLLATE "C",
    currency TEXT COLLATE "C" NOT NULL,
    refunded_at_us BIGINT NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_refunds PRIMARY KEY (refund_id),
    CONSTRAINT fk_refunds_order_id FOREIGN KEY(order_id) REFERENCES orders (order_id)
);

CREATE INDEX IF NOT EXISTS ix_refunds_order_id ON refunds (order_id);

CREATE TABLE IF NOT EXISTS refund_lines (
    refund_id TEXT COLLATE "C" NOT NULL,
    line_number BIGINT NOT NULL,
    product_id TEXT COLLATE "C" NOT NULL,
    quantity BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    CONSTRAINT pk_refund_lines PRIMARY KEY (refund_id, line_number),
    CONSTRAINT ck_refund_lines_quantity CHECK (quantity >= 1),
    CONSTRAINT ck_refund_lines_amount CHECK (amount_minor >= 0),
    CONSTRAINT fk_refund_lines_refund_id FOREIGN KEY(refund_id) REFERENCES refunds (refund_id)
);
