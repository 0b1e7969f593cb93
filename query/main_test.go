package query

import (
	"os"
	"testing"
)

// TestMain runs this binary as the engine of its own tests, if it was started as one.
func TestMain(m *testing.M) {
	ServeIfStarted()
	os.Exit(m.Run())
}
