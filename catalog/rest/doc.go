// Package rest serves an Iceberg REST catalog: the door by which DuckDB, Spark, Trino, PyIceberg and every other engine with
// a REST client read the tables of the log and keep tables and views of their own beside them.
//
// A Server is an http.Handler over a catalog.Catalog, for paths below /v1; what it serves is what Endpoints lists. Namespace
// catalog.Namespace is ours: its tables are written by the publisher, its views made with them. All other namespaces are
// the guests': free to make, fill and drop.
//
// Promises:
//  1. An answer that says a change happened comes after the change is on disk, by the rules of package catalog: files and
//     folders before metadata, metadata before its pointer, and the pointer by compare-and-set.
//  2. A commit is applied to the table as it is when the commit is made, whole or not at all, and only if all its
//     requirements hold then; the changes of a transaction of several tables become current in one transaction of catalog.db.
//     409 CommitFailedException means nothing happened; 500 CommitStateUnknownException, that nobody knows yet.
//  3. Outsiders change neither data nor schema of our tables, and neither drop, rename nor replace anything of ours: 403
//     ForbiddenException. They may put branches and tags of their own on snapshots, which keeps those snapshots.
//  4. Everything guests make is below the guests' folder; a table shares its folder with no other one. Locations that lead
//     elsewhere, that climb, or that hide a separator are refused, and so are snapshots that name a file of ours. Purging a
//     table removes its own folder and nothing else.
//  5. A wrong request gets the specification's error object, and touches nothing.
//  6. A load is one look-up in catalog.db and, unless the client has the answer already, the bytes of the metadata file:
//     they are neither parsed nor encoded again. snapshots=refs leaves out snapshots that no branch or tag names.
//  7. Names, bodies, pages and caches are bounded.
//
// Who asks is decided by one function, Config.Authenticate. It does not vend credentials, plan scans, or keep metrics: reports
// are checked and dropped. There is one warehouse; one of a tenant's own is refused until tenants have credentials.
package rest
