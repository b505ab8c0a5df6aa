// Package archtest keeps the import table of docs/architecture.md as a test: which package may import which, and why.
//
// The table is data (table.go). A row whose package has vanished fails the test, so the table cannot rot; a package that no row covers fails
// too, so a new package has to say where it belongs.
package archtest
