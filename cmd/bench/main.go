package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"headless.ly/cmd/bench/rival"
)

// errShort is the error of a run whose last line says why already.
var errShort = errors.New("falls short")

func main() {
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, errShort) {
			fmt.Printf("falls short: %v\n", err)
		}
		os.Exit(1)
	}
}

// run runs the command that args name. Flags may stand before and behind it.
func run(args []string) error {
	b := &bench{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&b.short, "short", false, "send a few hundred requests and judge only the answers")
	flags.StringVar(&b.repo, "repo", "../..", "the product's `folder`")
	flags.StringVar(&b.binary, "binary", "", "the product's binary (default: built from the folder)")
	flags.StringVar(&b.dir, "dir", os.TempDir(), "`folder` for the data, on the disk to be measured")
	flags.IntVar(&b.rounds, "rounds", 3, "measurements per figure")
	flags.DurationVar(&b.given, "each", 0, "length of a measurement (default: 3s, freshness 3m, large 1m, sql 200ms)")
	flags.IntVar(&b.commitCount, "commits", 10_000, "commits to make")
	flags.DurationVar(&b.commitTick, "tick", time.Second, "how far the lake's clock goes with a commit")
	flags.IntVar(&b.largeRows, "rows", 5_000_000, "contacts of the large tenant")
	flags.IntVar(&b.sqlRows, "contacts", sqlRows, "contacts that statements are run over")
	flags.IntVar(&b.importRows, "import-rows", importRowCount, "rows of the file that is imported")
	flags.StringVar(&b.extensions, "extensions", "", "`folder` with DuckDB's Iceberg extension: the large tenant's table is read with it")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "bench [flags] "+strings.Join(commandNames(), "|"))
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	command := flags.Arg(0)
	rest := flags.Args()[min(1, flags.NArg()):]
	switch command { // the children of the others
	case emptyCommand:
		return rival.Empty(os.Stdout)
	case pocketBaseCommand:
		return rival.PocketBase(os.Stdout, rest[0], len(rest) > 1)
	case duckDBCommand:
		return rival.DuckDB(os.Stdout, rest)
	}
	if err := flags.Parse(rest); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := b.run(ctx, command)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}
