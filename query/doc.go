// Package query answers reads: one entity, lists with filters, includes, history and diffs, now or as of any instant.
//
// A Reader chooses the instant, finds which entities answer, and fetches their documents. An Engine knows which rows
// answer: it holds one in-memory DuckDB database per tenant and runs SQL over what the lake has published (Parquet files)
// and what it has not yet (the tail, fed from the tenant's log). The engine answers with ids and sequence numbers only; the
// documents are then read from the log by sequence number, so an answer is byte for byte what was written.
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
//  6. Everything held is bounded: databases, rows of tails and histories, running queries, filters, pages, time.
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
//   - Relevance counts the pairs of a search term and a field in which it begins a word.
//
// What it does not do: write, parse HTTP, check credentials.
package query
