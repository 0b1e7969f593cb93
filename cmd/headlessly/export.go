package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"headless.ly/api/client"
)

// exportFlags is what the export command is asked.
type exportFlags struct {
	tenant   string
	endpoint string
	export   client.Export
	format   string
}

func exportCommand() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export --type Contact FILE",
		Short: "Fetch all entities of a type from a running server as CSV, NDJSON, JSON or Parquet",
		Long: "Fetch all entities of a type, or those that a filter chooses, as they are or were at an instant. What export writes, import\n" +
			"reads. FILE appears when it is whole. FILE - is standard output.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExport(cmd.Context(), f, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	serverFlags(cmd, &f.tenant, &f.endpoint)
	cmd.Flags().StringVar(&f.export.Type, "type", "", "what is fetched: Contact, Deal …")
	cmd.Flags().StringVar(&f.format, "format", "", "csv, ndjson, json or parquet (default: by the file's name)")
	cmd.Flags().StringVar(&f.export.Filter, "filter", "", `only what matches: '{"stage":"Lead"}'`)
	cmd.Flags().StringSliceVar(&f.export.Fields, "fields", nil, "only these fields, comma separated")
	cmd.Flags().StringVar(&f.export.AsOf, "as-of", "", "as it was at this instant")
	cmd.Flags().BoolVar(&f.export.Excel, "excel", false, "CSV in which no text is a formula")
	_ = cmd.MarkFlagRequired("type") // the flag is defined above
	return cmd
}

func runExport(ctx context.Context, f exportFlags, path string, out, messages io.Writer) error {
	c, err := client.New(client.Config{Endpoint: f.endpoint, Tenant: f.tenant})
	if err != nil {
		return err
	}
	if f.export.Format, err = exportFormat(f.format, path); err != nil {
		return err
	}
	if path == "-" {
		_, err := c.Export(ctx, f.export, out)
		return err
	}
	start := time.Now()
	size, err := exportFile(ctx, c, f.export, path, messages)
	if err == nil {
		fmt.Fprintf(out, "%s: %d bytes in %v\n", path, size, time.Since(start).Round(time.Millisecond))
	}
	return err
}

// exportFile writes a file beside path and gives it the name when it is whole.
func exportFile(ctx context.Context, c *client.Client, e client.Export, path string, messages io.Writer) (size int64, err error) {
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part.Name()))
		}
	}()
	bar := progress(messages, "exporting", -1)
	size, err = c.Export(ctx, e, io.MultiWriter(part, bar))
	_ = bar.Finish() // drawing may fail
	if err == nil {
		err = part.Chmod(0o644)
	}
	if err = errors.Join(err, part.Close()); err != nil {
		return size, err
	}
	return size, os.Rename(part.Name(), path)
}

// exportFormat takes the format that was asked for, or the one that the file's name says.
func exportFormat(asked, path string) (client.Format, error) {
	if asked == "" {
		asked = strings.TrimPrefix(filepath.Ext(path), ".")
	}
	format := client.Format(strings.ToLower(asked))
	if format == "jsonl" {
		format = client.NDJSON
	}
	if !slices.Contains([]client.Format{client.CSV, client.NDJSON, client.JSON, client.Parquet}, format) {
		return "", fmt.Errorf("%s: say --format csv, ndjson, json or parquet", path)
	}
	return format, nil
}
