package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"headless.ly/api/care"
	"headless.ly/catalog/noun"
)

// errNotWhole ends a look at a data folder with which something is wrong.
var errNotWhole = errors.New("something is wrong with the data folder")

// careFlags is what verify and repair are asked.
type careFlags struct {
	data   string
	json   bool
	window time.Duration
}

func verifyCommand() *cobra.Command {
	var f careFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Say whether a data folder is whole",
		Long: "Look at a whole data folder, whether a server uses it or not, and change nothing: every event of every log, the state, the\n" +
			"tables and each file that they name. What is wrong is told with its file, tenant and seq, and with what repair would do.\n" +
			"The exit status is 1 where something is wrong.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runVerify(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.flags(cmd)
	return cmd
}

func repairCommand() *cobra.Command {
	var f careFlags
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Mend a data folder that no server uses",
		Long: "Mend what verify finds: states, unique values and tables are made anew from the logs, damaged events of a log from the events\n" +
			"table. What is made is verified before it is put in place; what was damaged is kept in the folder repair of the data folder.\n" +
			"The exit status is 1 where something could not be recovered.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRepair(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.flags(cmd)
	return cmd
}

func (f *careFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.data, "data", os.Getenv("HEADLESSLY_DATA"), "data folder (HEADLESSLY_DATA; default: headlessly/data in the user's cache folder)")
	cmd.Flags().BoolVar(&f.json, "json", false, "answer as one JSON object")
	cmd.Flags().DurationVar(&f.window, "window", time.Hour, "how old files may become that nothing names")
}

// dataFolder gives the folder that was asked for, or the default one.
func dataFolder(asked string) (string, error) {
	if asked != "" {
		return asked, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the data, or give --data: %w", err)
	}
	return filepath.Join(cache, "headlessly", "data"), nil
}

// config gives what package care is asked; the bar is to be finished.
func (f *careFlags) config(messages io.Writer, what string) (care.Config, *progressbar.ProgressBar, error) {
	dir, err := dataFolder(f.data)
	if err != nil {
		return care.Config{}, nil, err
	}
	bar := progressbar.NewOptions64(1,
		progressbar.OptionSetWriter(messages),
		progressbar.OptionSetVisibility(isTerminal(messages)),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	return care.Config{
		Dir: dir, Nouns: noun.Core(), Window: f.window,
		Progress: func(done, of int64) {
			bar.ChangeMax64(max(1, of))
			_ = bar.Set64(min(done, of)) // drawing may fail, the work goes on
		},
	}, bar, nil
}

func runVerify(ctx context.Context, f careFlags, out, messages io.Writer) error {
	cfg, bar, err := f.config(messages, "verifying")
	if err != nil {
		return err
	}
	report, err := care.Verify(ctx, cfg)
	_ = bar.Finish()
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if f.json {
		err = json.NewEncoder(out).Encode(report)
	} else {
		printReport(out, report)
	}
	if err == nil && !report.Whole {
		err = errNotWhole
	}
	return err
}

func runRepair(ctx context.Context, f careFlags, out, messages io.Writer) error {
	cfg, bar, err := f.config(messages, "repairing")
	if err != nil {
		return err
	}
	if !f.json {
		cfg.Say = func(format string, args ...any) {
			_ = bar.Clear()
			fmt.Fprintf(out, format+"\n", args...)
		}
	}
	done, err := care.Repair(ctx, cfg)
	_ = bar.Finish()
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if f.json {
		err = json.NewEncoder(out).Encode(done)
	} else {
		if done.Kept != "" {
			fmt.Fprintf(out, "what was damaged is kept in %s\n", filepath.Join(cfg.Dir, done.Kept))
		}
		printReport(out, done.After)
	}
	if err == nil && (!done.After.Whole || len(done.Lost) > 0) {
		err = errNotWhole
	}
	return err
}

func printReport(out io.Writer, r *care.Report) {
	for _, finding := range r.Findings {
		fmt.Fprintln(out, finding)
	}
	if r.More > 0 {
		fmt.Fprintf(out, "and %d more\n", r.More)
	}
	verdict := "whole"
	if !r.Whole {
		verdict = fmt.Sprintf("%d findings", len(r.Findings)+r.More)
	}
	fmt.Fprintf(out, "%d tenants, %d events, %d rows of tables, %d MB of files in %.1f s: %s\n",
		r.Tenants, r.Events, r.Rows, r.Bytes>>20, r.Seconds, verdict)
}
