-- What reads all of the ledger, so that it is apart from what keeps everybody out: an earlier
-- version, which goes on while this one stands by, commits while rows are checked, and waits only
-- while the index is made, which is a second or so for each few million rows.
alter table wallet_entries validate constraint wallet_entries_play;

-- No hold ends twice, whatever request id its ending has; and a bet finds its ending by it.
create unique index wallet_entries_ending on wallet_entries (wallet_id, hold)
where kind in ('settle', 'release');
