// Package lakehouse keeps the lake: it publishes the tenants' logs to Iceberg tables and says what is published.
//
// A Lake holds a data folder. It reads the tenants' Logs on a clock and writes what is new as Parquet files of the events
// table and of one table per noun; one transaction of catalog.db makes them current. A View is what is published of one
// tenant at one instant. Row and TableColumns say how a document becomes a row, for the files and for whoever joins them
// with newer events. FORMAT.md describes everything that is stored.
//
// Promises:
//  1. Every event of a log is in the events table exactly once, from some publish after its acknowledgement on, for ever:
//     across kill -9, power cuts, failing disks, lost answers of a commit and commits of others.
//  2. All tables of a tick, and the seqs up to which they hold each tenant's log, become current in one transaction. What
//     is not current is named by nothing.
//  3. A noun's table holds, for each tenant, the state at exactly the seq that is said of it: one row per live entity. What a
//     publish of it costs grows with what changed, not with the table. The tables of a tenant stand at one seq, unless one
//     changes too much to be published at every tick; then it lags, says so, and catches up from the log.
//  4. A data file is on disk, with its folders, before anything names it, and never changes afterwards. Row content and
//     order are the log's; no file holds two tenants.
//  5. A View is immutable, and a tenant's next one replaces it in one step. Its files stay until it is released; those of a
//     snapshot, until an hour after the table has dropped it.
//  6. An error of one tenant or one table stops neither the others nor the clock; Status shows it and it is tried again.
//  7. Tables follow their nouns by metadata alone. Files written under any earlier declaration read as the noun is declared
//     now: a renamed field under its name of today, one that was undeclared or is so again in its column or in _extra.
//  8. Memory and time are bounded: events held at a time, files of a commit, decoded files kept, the share of a processor
//     that rewriting noun tables and maintenance take, snapshots and manifests of a table.
//  9. Maintenance runs by itself beside publishing. It deletes nothing that metadata, a pinned view or somebody else's work
//     may need: only files of ours that no snapshot has named for an hour, and what our dead processes left.
//  10. Published events can be read back, by seq, entity or time, byte for byte as the log gave them.
//
// It does not write logs and answers no queries.
package lakehouse
