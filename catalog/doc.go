// Package catalog keeps DIR/catalog.db: which Iceberg tables exist and where their current metadata is, up to which event
// each table holds each tenant, which tenants may have unpublished events, and the server's own secrets.
//
// A Database is the SQLite file. A Catalog is the Iceberg SQL catalog in it: iceberg-go's, with what it lacks added. Other
// engines open the same file as the SQL catalog named CatalogName. IO is the file access of Iceberg tables; FS is the file
// system beneath it, replaced by tests that inject faults. lakehouse/FORMAT.md describes what is stored.
//
// Promises:
//  1. What a method reports as written is on disk (synchronous=FULL), and survives kill -9 and a power cut.
//  2. Swap moves any number of tables and published seqs in one transaction, all or none, and only if each is still where
//     the caller saw it; otherwise ErrConflict, which is also table.ErrCommitFailed.
//  3. A commit whose outcome is unknown is settled by reading catalog.db again before anything else uses it: Swap's error
//     is definite, or wraps ErrUnsettled and nothing of the database is served until settling succeeds.
//  4. A file of an Iceberg table is on disk, with its folders, before its writer's Close returns nil.
//  5. A loaded table is immutable; its commits come back to this Catalog.
//
// It does not decide what is published, and deletes no file of a table but those that were never named by one.
package catalog
