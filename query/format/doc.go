// Package format writes the rows of a result as they are computed: JSON, newline-delimited JSON, CSV, Arrow and Parquet.
//
// Promises:
//  1. An Encoder holds a bounded part of a result: some thousand rows, of Parquet one row group.
//  2. Values mean the same in every format; what a format has no type for is text (analytics.md 2). In JSON and CSV integers
//     beyond 2^53, decimals and 128-bit integers are strings, times ISO 8601, NaN and infinities strings, blobs base64.
//     Nested values are JSON in all formats, in Arrow and Parquet as text.
//
// What it does not do: count, cut off, or compress results.
package format
