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
	key      string
	dryRun   bool
	preserve bool
}

func importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import --type Contact FILE",
		Short: "Send the rows of a CSV, NDJSON, JSON or Parquet file to a running server",
		Long: "Send the rows of a file to a running server, each to become an entity. CSV begins with a header row; JSON is one array.\n" +
			"Rows that are refused are told with their number; the rest is kept. With --key, rows that are there already update what is\n" +
			"there: the same file twice is the same as once. A large file is worked on by a job of the server, which goes on whatever\n" +
			"becomes of this command. FILE - is standard input.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImport(cmd.Context(), f, args[0], cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	serverFlags(cmd, &f.tenant, &f.endpoint)
	cmd.Flags().StringVar(&f.noun, "type", "", "what the rows are: Contact, Deal …")
	cmd.Flags().StringVar(&f.format, "format", "", "csv, ndjson, json or parquet (default: by the file's name)")
	cmd.Flags().StringVar(&f.key, "key", "", "a unique `field`: a row whose value of it is there already updates that entity")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "write nothing, say what would fail")
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
	format, err := formatOf(f.format, path, in)
	if err != nil {
		return err
	}
	bar := progress(messages, "sending", size)
	working := false
	start := time.Now()
	sum, err := c.Import(ctx, client.Import{
		Type: f.noun, Format: format, PreserveIDs: f.preserve, Key: f.key, DryRun: f.dryRun,
		Sent: func(bytes int64) { _ = bar.Set64(bytes) }, // drawing may fail, importing goes on
		Progress: func(p client.Progress) {
			if !working {
				_ = bar.Finish()
				bar, working = work(messages), true
			}
			bar.Describe(describe(p))
			_ = bar.Set(int(p.Progress * workSteps))
		},
		Bad: func(bad client.BadRow) {
			_ = bar.Clear()
			fmt.Fprintf(messages, "row %d: %s\n", bad.Row, bad.Message)
		},
	}, in)
	_ = bar.Finish()
	if sum.Untold > 0 {
		fmt.Fprintf(messages, "and %d rows more\n", sum.Untold)
	}
	if err == nil || sum.Rows > 0 {
		tell(out, f, sum, time.Since(start))
	}
	if err == nil && sum.Refused > 0 {
		err = errRefused
	}
	return err
}

// tell prints what became of the rows.
func tell(out io.Writer, f importFlags, sum client.Summary, took time.Duration) {
	done := "imported"
	if f.dryRun {
		done = "would be imported"
	}
	fmt.Fprintf(out, "%d rows: %d %s", sum.Rows, sum.Imported, done)
	if f.key != "" {
		fmt.Fprintf(out, " (%d new, %d updated, %d unchanged)", sum.Imported-sum.Updated-sum.Unchanged, sum.Updated, sum.Unchanged)
	}
	fmt.Fprintf(out, ", %d refused, in %v\n", sum.Refused, took.Round(time.Millisecond))
}

// describe says in words how far a job is.
func describe(p client.Progress) string {
	text := fmt.Sprintf("%s: %d rows", p.Status, p.Rows)
	if p.PerSecond > 0 {
		text += fmt.Sprintf(", %.0f/s", p.PerSecond)
	}
	if p.Left > 0 {
		text += fmt.Sprintf(", %v left", p.Left.Round(time.Second))
	}
	if p.Failure != nil {
		text += ", waits: " + p.Failure.Message
	}
	return text
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

// formatOf takes the format that was asked for, or the one that the file's name and its first character say. The rows stand
// at their start then.
func formatOf(asked, path string, rows io.Reader) (client.Format, error) {
	if asked != "" {
		return client.Format(strings.ToLower(asked)), nil
	}
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".csv":
		return client.CSV, nil
	case ".ndjson", ".jsonl":
		return client.NDJSON, nil
	case ".parquet":
		return client.Parquet, nil
	case ".json":
		format := client.JSON
		if start, _ := bufio.NewReader(rows).Peek(64); strings.HasPrefix(strings.TrimLeft(string(start), "\uFEFF \t\r\n"), "{") {
			format = client.NDJSON
		}
		_, err := rows.(io.Seeker).Seek(0, io.SeekStart) // standard input has no such name
		return format, err
	default:
		return "", fmt.Errorf("%s: say --format csv, ndjson, json or parquet", path)
	}
}

// progress draws bytes on a terminal, and on nothing else, with their rate and, where their number is known, the time left.
func progress(messages io.Writer, what string, size int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(size, append(barOptions(messages), progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true))...)
}

// workSteps are the steps of a job's bar.
const workSteps = 1000

// work draws the steps of a job, whose description says the rest.
func work(messages io.Writer) *progressbar.ProgressBar {
	return progressbar.NewOptions(workSteps, append(barOptions(messages), progressbar.OptionSetPredictTime(false))...)
}

func barOptions(messages io.Writer) []progressbar.Option {
	return []progressbar.Option{
		progressbar.OptionSetWriter(messages),
		progressbar.OptionSetVisibility(isTerminal(messages)),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionClearOnFinish(),
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
