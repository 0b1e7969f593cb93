// Package demo turns a public CRM data set into the history of four tenants.
//
// A Dataset is the CSV files of the data folder after mending, which one table, Rules, describes. History makes of it a
// list of Steps in order of time: what would have been written had the company used this product from the first day.
// Load writes a tenant's steps, dated, through the ordinary write path. Tour says what to try then.
//
// Promises:
//  1. No row is lost: every row of every file read is an entity, and every reference between files resolves, or Read fails.
//  2. Equal data gives equal steps; step n of a tenant is event n of its log. Times never fall and differ by at least 1 ms.
//  3. Load may die anywhere and be called again: it goes on behind the last event that is in the log and doubles nothing.
//  4. Load refuses a tenant whose log begins with anything but its history.
//
// It does not know HTTP, does not open a server, and reads nothing outside the files embedded in it.
package demo
