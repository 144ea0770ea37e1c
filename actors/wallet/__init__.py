"""One user's money and seeds: balances per currency, and the pair that the next bet draws from."""
