// Package ingest is the write path: commands in, events out, durable before they are answered.
//
// Events that are old and published for good may leave the log (Config.KeepLog): an Older gives them from then on, and no caller
// can tell.
//
// A Store holds one Writer per tenant in use. A Writer owns the tenant's log (a SQLite file, see FORMAT.md), takes the
// commands that callers queue, runs each in turn against the state plus the batch so far, commits the batch in one
// synchronous transaction and then answers all callers. A Hooks set holds Go functions that run before and after. A Feed
// tells subscribers what has been committed.
//
// Promises:
//  1. A command answered with an event is on disk, and is in every later read of the log.
//  2. Commands of one tenant take effect one at a time, in seq order; seq has no gaps, timestamps never fall.
//  3. A command answered with a definite refusal leaves nothing behind: no event, no version, no id, no unique value;
//     nor does Try.
//  4. A commit whose outcome cannot be known is answered with problem.OutcomeUnknown; the tenant is reopened and its log
//     is read again before anything else of it is served.
//  5. Every change raises the entity's version by one and is exactly one event; replaying the log gives the state.
//     A create with Command.Key makes one entity of a key's value, however often it is repeated.
//  6. One bad command of a batch fails alone; one failing tenant fails alone.
//  7. What is read of the log bears the names that fields have now, whatever they were called when it was written; commands
//     may use either.
//  8. Queues, batches, open tenants, hook depth and kept idempotency keys are bounded by named limits.
//  9. An import makes a tenant that answers as the exported one does, seqs, ids and timestamps included, or leaves nothing.
//  10. An event leaves the log only after the lake has given it back byte for byte; whatever a crash cuts short, each event can
//     be read from one of the two, and only once. A log is bounded by its state and the events younger than Config.KeepLog.
//
// It does not publish to the lake, does not answer queries, and knows no HTTP.
package ingest
