// Package archive writes and reads a tenant's whole history as one file: a tar of Parquet files with checksums, which FORMAT.md
// describes.
//
// A Writer takes the events in order of seq and puts them out in parts of bounded size. A Reader gives them back, each part after
// its checksum and content have been checked. Neither seeks, so both ends may be a pipe.
//
// Promises:
//  1. What a Reader gives is what the Writer was given, byte for byte: seq, timestamps, ids, versions and documents.
//  2. Reader.Each returns nil only for a file that is whole: every part there, in order, none changed, and nothing behind them. A
//     file that was cut, changed or put together otherwise is ErrBroken.
//  3. Memory is bounded by one part, whatever the history's length; a file that claims more is ErrBroken.
//
// A checksum is no signature: it tells of accidents, not of a part that somebody has made to keep a decoder busy. Import archives of
// people you trust.
//
// It knows nothing of logs and tenants' folders: package ingest exports and imports.
package archive
