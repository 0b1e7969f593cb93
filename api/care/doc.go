// Package care looks after a data folder: Verify says whether it is whole, Repair mends it.
//
// Promises:
//  1. Verify changes nothing and takes no lock: it runs beside a server, and on a folder that nobody uses. It compares what
//     catalog.db said at one instant with logs as far as they were published then; what is written meanwhile is left to the
//     next run.
//  2. Verify finds: an event of a log that is missing, twice there or not as it was written; a state, unique value or tally
//     that replaying the log does not give; an event that the events table lacks, has twice or has otherwise; a row of a
//     noun's table that is not the state at the table's seq; a file named by metadata that is missing or differs by a bit from
//     what was written; a bloom filter that denies what is there; files that nothing ever named and nobody removes.
//     It says of each what it is, where, and what Repair would do.
//  3. Memory is bounded by the number of files, not of events.
//  4. Repair holds the folder's lock: ErrLocked of package lakehouse while a server uses it. It rebuilds what can be made from
//     the log (states, claims, tallies, tables), and events of a log from the events table.
//  5. Repair never writes over anything: what it makes is made aside, durable and verified before one rename or one transaction
//     puts it in place, and what was there before is kept in DIR/repair/<time>/damaged. Cut short anywhere, the folder is as
//     it was or mended; the next run begins anew.
//  6. Repair says what it could not recover. Events that stand damaged in a log and nowhere else are such: the tenant's log
//     stays as it is, and reads of it go on failing loudly.
//
// What cannot be seen: a change of bytes that nothing reads, such as unused room within a page of a log file; damage to the
// write-ahead log of a database that was not closed, which SQLite takes for the end of what was written. That the end of a
// log is missing is seen if it was published.
package care
