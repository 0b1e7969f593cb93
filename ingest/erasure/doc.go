// Package erasure erases a tenant from a data folder, and proves it.
//
// An Eraser writes a tombstone into catalog.db, has the tenant's log, its rows in every Iceberg table, all snapshots and tags that hold
// them, and what is kept of it in memory and in other folders removed, takes the tenant's name out of catalog.db, searches
// what is left, and signs a Receipt. FORMAT.md describes tombstones and receipts, and how to check one.
//
// Promises:
//  1. From the tombstone on nothing of the tenant is served or published; an erasure that a crash has cut short is finished by
//     Resume, before the folder is served again.
//  2. When Erase has returned a receipt, no file of the data folder holds the tenant's rows or name, but for what FORMAT.md lists
//     as others' own. The name may be used anew, and nothing of the old tenant appears under it.
//  3. Of other tenants, what is current stays in the files that it was in. Snapshots and tags from before go for all: readers of them
//     find files missing, never wrong rows.
//  4. A receipt names the tenant by a salted hash only: keeping it keeps no name.
//
// It does not reach copies that have left the data folder: exports, backups, tables that other engines have made of ours.
package erasure
