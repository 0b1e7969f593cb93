package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"headless.ly/api/client"
)

// errRefused ends an import of which some rows were refused.
var errRefused = errors.New("some rows were refused")

// importFlags is what the import command is asked.
type importFlags struct {
	tenant   string
	noun     string
	format   string
	endpoint string
	preserve bool
}

func importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import --type Contact FILE",
		Short: "Send the rows of a CSV, NDJSON or JSON file to a running server",
		Long: "Send the rows of a file to a running server, each to become an entity. CSV begins with a header row; JSON is one array.\n" +
			"Rows that are refused are told with their number; the rest is kept. FILE - is standard input.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImport(cmd.Context(), f, args[0], cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&f.tenant, "tenant", environment("HEADLESSLY_TENANT", client.DefaultTenant), "tenant (HEADLESSLY_TENANT)")
	cmd.Flags().StringVar(&f.noun, "type", "", "what the rows are: Contact, Deal …")
	cmd.Flags().StringVar(&f.format, "format", "", "csv, ndjson or json (default: by the file's name)")
	cmd.Flags().StringVar(&f.endpoint, "endpoint", environment("HEADLESSLY_ENDPOINT", client.DefaultEndpoint), "server (HEADLESSLY_ENDPOINT)")
	cmd.Flags().BoolVar(&f.preserve, "preserve-ids", false, "keep the $id of each row (migrations)")
	_ = cmd.MarkFlagRequired("type") // the flag is defined above
	return cmd
}

func runImport(ctx context.Context, f importFlags, path string, stdin io.Reader, out, messages io.Writer) error {
	c, err := client.New(client.Config{Endpoint: f.endpoint, Tenant: f.tenant})
	if err != nil {
		return err
	}
	in, size, err := openRows(path, stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	rows := bufio.NewReader(in)
	format, err := formatOf(f.format, path, rows)
	if err != nil {
		return err
	}
	bar := progress(messages, size)
	start := time.Now()
	sum, err := c.Import(ctx, client.Import{
		Type: f.noun, Format: format, PreserveIDs: f.preserve,
		Sent: func(_ int, bytes int64) { _ = bar.Set64(bytes) }, // drawing may fail, importing goes on
		Bad: func(bad client.BadRow) {
			_ = bar.Clear()
			fmt.Fprintf(messages, "row %d: %s\n", bad.Row, bad.Message)
		},
	}, rows)
	_ = bar.Finish()
	fmt.Fprintf(out, "%d rows: %d imported, %d refused, in %v\n", sum.Rows, sum.Imported, sum.Refused, time.Since(start).Round(time.Millisecond))
	if err == nil && sum.Refused > 0 {
		err = errRefused
	}
	return err
}

// openRows opens the file, or standard input, whose size is not known: -1.
func openRows(path string, stdin io.Reader) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(stdin), -1, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// formatOf takes the format that was asked for, or the one that the file's name and its first character say.
func formatOf(asked, path string, rows *bufio.Reader) (client.Format, error) {
	if asked != "" {
		return client.Format(strings.ToLower(asked)), nil
	}
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".csv":
		return client.CSV, nil
	case ".ndjson", ".jsonl":
		return client.NDJSON, nil
	case ".json":
		if start, _ := rows.Peek(64); strings.HasPrefix(strings.TrimLeft(string(start), "\uFEFF \t\r\n"), "{") {
			return client.NDJSON, nil
		}
		return client.JSON, nil
	default:
		return "", fmt.Errorf("%s: say --format csv, ndjson or json", path)
	}
}

// progress draws on a terminal, and on nothing else.
func progress(messages io.Writer, size int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(messages),
		progressbar.OptionSetVisibility(isTerminal(messages)),
		progressbar.OptionSetDescription("importing"),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
