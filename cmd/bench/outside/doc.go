// Package outside reads the product's tables as any engine does that is given their folders: the hint, the metadata that it
// names, manifests, and data files less the rows that position deletes name. It knows FORMAT.md and the Iceberg
// specification; it asks nobody, takes no lock, and shares no code with what writes the tables.
//
// A Table is a folder, a Version what its hint named at one instant, and Files what a version holds. DuckDB reads the rows.
package outside
