package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"headless.ly/cmd/headlessly/demo"
	"headless.ly/cmd/headlessly/server"
	"headless.ly/ingest"
)

// demoCommand is serve on a folder of its own that holds the CRM sample.
func demoCommand() *cobra.Command {
	var addr, data string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Serve with a CRM sample, loaded as history into the tenant demo on first start",
		Long: "Serve with the CRM sales opportunities of a fictitious computer hardware seller, a public sample data set by\n" +
			"Maven Analytics, loaded as history into the tenant demo (and per regional office into demo-central, demo-east and\n" +
			"demo-west) on first start.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := demoFolder(data)
			if err != nil {
				return err
			}
			out, progress := cmd.OutOrStdout(), cmd.ErrOrStderr()
			fmt.Fprintf(out, "data folder %s\n", dir)
			cfg := server.Config{Addr: addr, Data: dir, Version: version()}
			cfg.Prepare = func(ctx context.Context, srv *server.Server) error {
				defer debug.FreeOSMemory() // of the data set and of loading it: the server that follows idles at a fraction of that
				data, err := demo.Read()
				if err != nil {
					return err
				}
				d := demonstration{srv: srv, dir: dir, tenants: demo.Tenants(data), mended: data.Mended, out: out, progress: progress}
				return d.prepare(ctx)
			}
			return serve(cmd.Context(), cfg, out)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", environment("HEADLESSLY_ADDR", "127.0.0.1:8787"), "address to listen on (HEADLESSLY_ADDR)")
	cmd.Flags().StringVar(&data, "data", "", "data folder (default: headlessly/demo in the user's cache folder)")
	return cmd
}

// demoFolder is the folder asked for, as an absolute path. HEADLESSLY_DATA is not looked at: it names a folder for data of
// one's own.
func demoFolder(data string) (string, error) {
	if data != "" {
		return filepath.Abs(data)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the data, or give --data: %w", err)
	}
	return filepath.Join(cache, "headlessly", "demo"), nil
}

// demonstration brings the demo's tenants onto a server and says what there is to see.
type demonstration struct {
	srv           *server.Server
	dir           string        // the data folder
	tenants       []demo.Tenant // the first is the one shown
	mended        []demo.Mended
	out, progress io.Writer
}

// prepare loads what is missing and says on out what is there, what was mended and what to try.
func (d *demonstration) prepare(ctx context.Context) error {
	loaded, err := d.loaded(ctx)
	if err != nil {
		return err
	}
	if !loaded {
		if err := d.load(ctx); err != nil {
			return err
		}
		d.printMended()
	}
	if err := d.printCounts(ctx); err != nil {
		return err
	}
	tour, err := d.tour(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\n%s\n", tour)
	return nil
}

func (d *demonstration) store() *ingest.Store { return d.srv.Service().Store() }

func (d *demonstration) loaded(ctx context.Context) (bool, error) {
	for _, t := range d.tenants {
		loaded, err := demo.Loaded(ctx, d.store(), t)
		if err != nil || !loaded {
			return false, err
		}
	}
	return true, nil
}

// load loads the tenants under a progress bar and publishes them.
func (d *demonstration) load(ctx context.Context) error {
	total := 0
	for _, t := range d.tenants {
		total += len(t.Steps)
	}
	start := time.Now()
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(d.progress),
		progressbar.OptionSetDescription("loading history"),
		progressbar.OptionSetItsString("events"),
		progressbar.OptionShowIts(),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(200*time.Millisecond),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(d.progress) }),
	)
	err := demo.LoadAll(ctx, d.store(), d.tenants, func(n int) { _ = bar.Add(n) }) // drawing may fail, loading goes on
	if err != nil {
		return stopped(ctx, err)
	}
	fmt.Fprintln(d.progress, "publishing to Iceberg")
	if err := d.srv.Service().Lake().Publish(ctx); err != nil {
		return stopped(ctx, fmt.Errorf("publish the demo: %w", err))
	}
	fmt.Fprintf(d.progress, "loaded and published %d events in %v\n", total, time.Since(start).Round(100*time.Millisecond))
	return nil
}

// stopped says it where the user has stopped the loading.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("loading was stopped; the next start goes on where it ended")
	}
	return err
}

func (d *demonstration) printMended() {
	fmt.Fprintln(d.out, "\nMended in the CSV files:")
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	for _, m := range d.mended {
		from, to := cmp.Or(m.From, "(empty)"), cmp.Or(m.To, "(empty)")
		fmt.Fprintf(w, "%d ×\t%s\t%s\t%s\t→ %s\t%s\n", m.Cells, m.File, m.Column, from, to, m.Why)
	}
	w.Flush()
}

// printCounts says how many entities live in each tenant.
func (d *demonstration) printCounts(ctx context.Context) error {
	nouns := []string{"Organization", "Product", "Contact", "Deal"}
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\ntenant\t%s\tevents\t\n", strings.Join(nouns, "\t"))
	for _, t := range d.tenants {
		counts, err := d.store().Counts(ctx, t.Name)
		if err != nil {
			return fmt.Errorf("count %s: %w", t.Name, err)
		}
		head, err := d.store().Head(ctx, t.Name)
		if err != nil {
			return fmt.Errorf("count %s: %w", t.Name, err)
		}
		fmt.Fprintf(w, "%s\t", t.Name)
		for _, n := range nouns {
			fmt.Fprintf(w, "%d\t", counts[n])
		}
		fmt.Fprintf(w, "%d\t\n", head)
	}
	return w.Flush()
}

// tour finds what the tour's commands name.
func (d *demonstration) tour(ctx context.Context) (demo.Tour, error) {
	deal, err := demo.ID(ctx, d.store(), d.tenants[0], demo.OpenDeal())
	if err != nil {
		return demo.Tour{}, err
	}
	buyer, err := demo.ID(ctx, d.store(), d.tenants[0], demo.Key{Noun: "Organization", Name: "Acme Corporation"})
	if err != nil {
		return demo.Tour{}, err
	}
	return demo.Tour{URL: d.srv.URL(), Warehouse: filepath.Join(d.dir, "warehouse", "iceberg"), Deal: deal, Company: buyer}, nil
}
