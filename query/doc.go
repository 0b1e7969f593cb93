// Package query answers reads: one entity, lists with filters, includes, history and diffs, now or as of any instant.
//
// A Reader chooses the instant, finds which entities answer, and fetches their documents. An Engine knows which rows
// answer: it holds one in-memory DuckDB database per tenant, in a process of its own (package engine), and runs SQL over what
// the lake has published (Parquet files) and what it has not yet (the tail, fed from the tenant's log). For lists the engine
// answers with ids and sequence numbers only; the documents are then read from the log by sequence number, so an answer is
// byte for byte what was written.
//
// What is read often is held decoded: a base is the rows of one noun of one tenant as a table of DuckDB's own, kept up to date
// from the log, within a number of bytes for all tenants. Instants before what a base holds, histories and deleted rows are read
// from a past: every version of the noun, decoded from the log, in parts between checkpoints, within the same bytes. Reads that
// come seldom and large tables go to the files, longer histories to the log itself.
//
// An Aggregate computes metrics by group in one statement, of one instant or of a series of them. A SQL statement is a
// tenant's own text: it is admitted by its syntax tree, then run in the tenant's database over temporary views of the files,
// tails and histories it names, and its rows are given as they are computed (package format writes them).
//
// Promises:
//  1. Every answer is the tenant's state at exactly one sequence number, which it names; all nouns an answer touches are
//     read at that number. A default or strong answer contains everything acknowledged before the read began.
//  2. A value from a caller is never part of SQL text: it is a bound parameter. Identifiers come from the noun's columns.
//  3. A filter means the same at every instant and over every source (files, tail, history), as interfaces.md 2.5 says:
//     predicates are two-valued, absent and null are one.
//  4. Pages of one cursor never repeat nor skip a row that was not itself changed between them.
//  5. Whatever a caller sends is answered by a *problem.Problem with a documented code; other errors are failures of ours,
//     or the context's.
//  6. A tenant's own statement only reads, and only the tenant's tables: what admission does not know is never prepared. Its
//     database may read the tenant's folders and nothing else, cannot be configured, and has bounds on memory, threads, spilled
//     bytes, time and rows; one statement of a tenant runs at a time. No error names a path or another tenant. What one call of
//     a function may make is bounded; beyond that only the memory of the engine's process bounds text, and statements are
//     cancelled when that is used up.
//  7. When the engine's process ends, only the queries in it fail, with problem.Unavailable; later ones are answered by another,
//     whose databases are fed anew from lake and log.
//  8. Everything held is bounded: databases, decoded files, rows of tails and histories, running queries, filters, pages, time.
//
// Where interfaces.md 2.5 leaves room:
//   - {"f": null} is {"f": {"$exists": false}}, and {"f": {"$ne": null}} is {"f": {"$exists": true}}, everywhere.
//   - A name that a field had before its noun renamed it stands for the field.
//   - A path over forward relationships is one value; where a target is missing or deleted, the value is absent.
//   - A path over a reverse relationship is a set. One member has to pass all tests of the field together, $ne and $nin
//     among them, so an empty set passes none. $not and $exists false are complements of the whole set. A path that ends
//     in a reverse relationship stands for the ids of its rows.
//   - Booleans have no order. Instants are compared to the microsecond, a date as the midnight UTC that begins it.
//   - Undeclared fields and json compare by JSON type. Objects and arrays are equal by their text: the order of members
//     counts. A path part that is a number indexes an array.
//   - Buckets of hours and minutes are cut where clocks of the zone show them; an hour that comes twice is two buckets.
//   - A series reads what relationships lead to as of the same instants. Without groups it has a result for each instant.
//   - Columns of a SQL result have names of their own: a, a_1. EXPLAIN gives the plan as JSON, without what tells of files.
//   - Relevance counts the pairs of a search term and a field in which it begins a word.
//
// What it does not do: write, parse HTTP, check credentials.
package query
