// Package imports writes the rows of files as entities: small files at once, large ones as jobs.
//
// A Jobs holds what is under way in one data folder. Receive takes a file from whoever sends it, Run imports it while the caller
// waits, Start makes a job of it that goes on by itself. An Order says what the rows are, a Report what became of them.
//
// Promises:
//  1. Rows are independent: the good ones are written whatever becomes of the others, in the order of the file, each as one event.
//  2. A job that was answered is on disk with its file. It ends, whatever stops the process meanwhile: it goes on behind the
//     last row of which the log has an event, so that no row is written twice and none is left out.
//  3. With Order.Key, a row whose unique field has a value that an entity has already updates that entity, or changes nothing
//     if it is as the row says: the same file twice is the same as once.
//  4. With Order.Try nothing is written, and the Report says what would fail.
//  5. Files, jobs and details are bounded by the named limits of Config and of this package; a file is in memory only by groups of rows.
//  6. One job of a tenant runs at a time, in the order in which they came; tenants do not wait for each other but for
//     MaxRunning.
//
// What is stored lies in DIR/tenants/<tenant>/jobs/<job>: job.json, replaced as a whole by a rename, and rows, the file, until the job
// has ended. Files that are being received lie in DIR/tmp.
package imports
