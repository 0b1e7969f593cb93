// Package rows reads the rows of an import, one at a time: a JSON array, newline-delimited JSON, CSV with a header row, or
// Parquet.
//
// Promises:
//  1. A row that is none is a *BadRow, and the rows behind it can be read; any other error ends them. Rows count from 1 for
//     whoever counts; a header and blank lines are none.
//  2. Whatever the file holds, a Reader takes bounded memory: a row of text has at most Source.MaxRow bytes, what a Parquet file
//     makes its reader hold is at most maxHeldBytes. A damaged file is an error and never a panic.
//  3. Numbers of JSON and CSV keep their digits. Cells of CSV take the type of their column; an empty one is absent, as a null
//     of Parquet is. Times of Parquet become ISO 8601, lists and structs JSON.
//  4. The column _extra of CSV and Parquet holds a JSON object whose members are fields: what an export writes of undeclared
//     fields comes back as it was.
//
// It checks no value against its declaration: whoever writes the rows does.
package rows
