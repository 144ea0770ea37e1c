"""Where actors live: mailboxes, hydration, commit hand-off, passivation and redelivery."""
