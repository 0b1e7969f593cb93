package main

import (
	"github.com/spf13/cobra"

	"headless.ly/query"
	"headless.ly/query/engine"
)

// engineCommand is the query process of a server.
func engineCommand() *cobra.Command {
	return &cobra.Command{
		Use:    engine.Command,
		Short:  "Run queries for the server that starts this; never by hand",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(*cobra.Command, []string) error { return query.ServeEngine() },
	}
}
