package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"headless.ly/cmd/headlessly/server"
)

// closeTimeout leaves a second of the ten that a stop may take.
const closeTimeout = 9 * time.Second

// Limits of --publish-every: below, commits cost more than what they publish; above, the log that waits for them grows.
const (
	minPublishEvery = 10 * time.Millisecond
	maxPublishEvery = 10 * time.Minute
)

func serveCommand() *cobra.Command {
	var addr, data string
	var keepLog, every time.Duration
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve a data folder on a loopback address",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := dataFolder(data)
			if err != nil {
				return err
			}
			if every < minPublishEvery || every > maxPublishEvery {
				return fmt.Errorf("--publish-every is %s to %s", minPublishEvery, maxPublishEvery)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "data folder %s\n", data)
			cfg := server.Config{Addr: addr, Data: data, KeepLog: keepLog, Interval: every, Version: version()}
			return serve(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&addr, "addr", environment("HEADLESSLY_ADDR", "127.0.0.1:8787"), "address to listen on (HEADLESSLY_ADDR)")
	cmd.Flags().StringVar(&data, "data", os.Getenv("HEADLESSLY_DATA"), "data folder (HEADLESSLY_DATA; default: headlessly/data in the user's cache folder)")
	cmd.Flags().DurationVar(&keepLog, "keep-log", 0, "age at which events leave the tenants' logs and are read from the lake, such as 720h; 0: never")
	cmd.Flags().DurationVar(&every, "publish-every", time.Second, "from one commit of what was written to the tables to the next")
	return cmd
}

// serve opens a server, says on out that it is ready, and serves until ctx ends or the process is asked to stop. A second
// such request ends the process at once.
func serve(ctx context.Context, cfg server.Config, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	srv, err := server.Open(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on %s\n", srv.URL())
	select {
	case <-ctx.Done():
	case err = <-srv.Failed():
	}
	stop()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if closeErr := srv.Close(closing); err == nil {
		err = closeErr
	}
	return err
}
