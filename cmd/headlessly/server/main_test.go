package server_test

import (
	"os"
	"testing"

	"headless.ly/query"
)

// TestMain runs this binary as the engine of its own servers, if it was started as one.
func TestMain(m *testing.M) {
	query.ServeIfStarted()
	os.Exit(m.Run())
}
