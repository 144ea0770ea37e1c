-- Snapshots hold a wallet's newest request ids from here on. Those without are dropped, which is
-- safe at any time: they are made anew from the rows.
truncate wallet_snapshots;
