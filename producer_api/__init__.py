"""The commerce API: it records what happens in the shop, and the fact that it happened, in one transaction."""
