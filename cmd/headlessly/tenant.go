package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"headless.ly/cmd/headlessly/server"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// tenantCommand groups what is done with a tenant as a whole.
func tenantCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "Export, import or erase a tenant as a whole",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(tenantExportCommand(), tenantImportCommand(), tenantEraseCommand(), tenantReceiptCommand())
	return cmd
}

func tenantExportCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "export TENANT FILE",
		Short: "Write a tenant's whole history to a file, while no server has the data folder",
		Long: "Write a tenant's whole history to a file: every event as Parquet, with checksums, in a tar (ingest/archive/FORMAT.md).\n" +
			"FILE - is standard output. The file appears when it is complete.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withFolder(cmd, data, func(ctx context.Context, f *server.Folder) error {
				return exportTenant(ctx, f, args[0], args[1], cmd.OutOrStdout(), cmd.ErrOrStderr())
			})
		},
	}
	dataFlag(cmd, &data)
	return cmd
}

func tenantImportCommand() *cobra.Command {
	var data, as string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a tenant of an exported file, while no server has the data folder",
		Long: "Make a tenant of a file that tenant export wrote: same events, ids, versions, timestamps and history. Nothing is visible\n" +
			"before the whole file has been read and its checksums hold. A tenant that exists is left as it is. FILE - is standard input.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withFolder(cmd, data, func(ctx context.Context, f *server.Folder) error {
				return importTenant(ctx, f, args[0], as, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			})
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().StringVar(&as, "as", "", "name of the tenant (default: as in the file)")
	return cmd
}

func dataFlag(cmd *cobra.Command, data *string) {
	cmd.Flags().StringVar(data, "data", os.Getenv("HEADLESSLY_DATA"), "data folder (HEADLESSLY_DATA; default: headlessly/data in the user's cache folder)")
}

// withFolder opens the data folder for a command, until that is done or is asked to stop.
func withFolder(cmd *cobra.Command, data string, do func(context.Context, *server.Folder) error) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if data == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find the data, or give --data: %w", err)
		}
		data = filepath.Join(cache, "headlessly", "data")
	}
	f, err := server.OpenFolder(ctx, server.Config{Data: data, Version: version()})
	if errors.Is(err, lakehouse.ErrLocked) {
		return fmt.Errorf("stop the server first: %w", err)
	}
	if err != nil {
		return err
	}
	err = do(ctx, f)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(err, f.Close(closing))
}

func exportTenant(ctx context.Context, f *server.Folder, tenant, path string, out, messages io.Writer) error {
	start := time.Now()
	bar, draw := eventBar(messages)
	var moved ingest.Moved
	write := func(w io.Writer) (err error) {
		buffered := bufio.NewWriterSize(w, 1<<20)
		if moved, err = f.Store().Export(ctx, tenant, buffered, draw); err != nil {
			return err
		}
		return buffered.Flush()
	}
	var err error
	if path == "-" {
		err, out = write(out), messages
	} else {
		err = writeWhole(path, write)
	}
	_ = bar.Finish() // drawing may fail
	if err == nil {
		_, err = fmt.Fprintf(out, "%s: %d events exported in %v\n", moved.Tenant, moved.Events, time.Since(start).Round(time.Millisecond))
	}
	return err
}

// writeWhole writes a file that bears its name only once it is complete and on disk.
func writeWhole(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func importTenant(ctx context.Context, f *server.Folder, path, as string, stdin io.Reader, out, messages io.Writer) error {
	in, _, err := openRows(path, stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	start := time.Now()
	bar, draw := eventBar(messages)
	moved, err := f.Store().Import(ctx, in, as, draw)
	_ = bar.Finish() // drawing may fail
	if err != nil {
		return err
	}
	took := time.Since(start).Round(time.Millisecond)
	if err := f.Lake().Publish(ctx); err != nil {
		return fmt.Errorf("%s is imported, and is published by the next start: %w", moved.Tenant, err)
	}
	entities := int64(0)
	for _, n := range moved.Nouns {
		entities += n
	}
	_, err = fmt.Fprintf(out, "%s: %d events imported in %v, %d entities live\n", moved.Tenant, moved.Events, took, entities)
	return err
}

// drawEvery is the number of events between two drawings of the progress.
const drawEvery = 1000

// eventBar draws how many events are done, on a terminal and on nothing else.
func eventBar(messages io.Writer) (*progressbar.ProgressBar, func(done, all int64)) {
	bar := progressbar.NewOptions64(1, progressbar.OptionSetWriter(messages), progressbar.OptionSetVisibility(isTerminal(messages)),
		progressbar.OptionSetPredictTime(true), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
		progressbar.OptionClearOnFinish())
	return bar, func(done, all int64) {
		if done%drawEvery == 0 || done == all {
			bar.ChangeMax64(all)
			_ = bar.Set64(done) // drawing may fail, the work goes on
		}
	}
}
