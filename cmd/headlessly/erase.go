package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"headless.ly/cmd/headlessly/server"
	"headless.ly/ingest/erasure"
)

// maxReceipt is the size of an answer that is read.
const maxReceipt = 1 << 20

// errOtherKey says that a receipt is not of the key that was given.
var errOtherKey = errors.New("the receipt is signed by another key")

func tenantEraseCommand() *cobra.Command {
	var data, endpoint, receipt string
	var yes bool
	cmd := &cobra.Command{
		Use:   "erase TENANT --yes",
		Short: "Erase a tenant for good, and say so in a signed receipt",
		Long: "Erase a tenant for good: its log, its rows in every table, all snapshots that hold them, caches, and its name. Works on the\n" +
			"data folder while no server has it, or with --endpoint on a running server. What was cut short is finished by the next start.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return fmt.Errorf("erasing %s cannot be undone: add --yes", args[0])
			}
			var signed erasure.Signed
			var err error
			if endpoint != "" {
				signed, err = eraseOnServer(cmd.Context(), endpoint, args[0])
			} else {
				err = withFolder(cmd, data, func(ctx context.Context, f *server.Folder) (err error) {
					signed, err = f.Eraser().Erase(ctx, args[0])
					return err
				})
			}
			if err != nil {
				return err
			}
			if err := putReceipt(signed, receipt, cmd.OutOrStdout()); err != nil {
				return err
			}
			return clean(signed)
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "erase on the server at this URL")
	cmd.Flags().StringVar(&receipt, "receipt", "", "file for the receipt (default: standard output; the data folder keeps one in any case)")
	cmd.Flags().BoolVar(&yes, "yes", false, "it is meant")
	return cmd
}

// clean is an error where the search behind an erasure has found something.
func clean(signed erasure.Signed) error {
	var r erasure.Receipt
	if err := json.Unmarshal(signed.Receipt, &r); err != nil {
		return fmt.Errorf("read receipt: %w", err)
	}
	if r.Searched != nil && len(r.Searched.Found) > 0 {
		return fmt.Errorf("%d files hold something of the tenant still: %s", len(r.Searched.Found), strings.Join(r.Searched.Found, ", "))
	}
	return nil
}

// eraseOnServer asks a running server.
func eraseOnServer(ctx context.Context, endpoint, tenant string) (signed erasure.Signed, err error) {
	at := strings.TrimSuffix(endpoint, "/") + "/~" + url.PathEscape(tenant) + "?confirm=" + url.QueryEscape(strings.ToLower(tenant))
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, at, nil)
	if err != nil {
		return signed, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return signed, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReceipt))
	if err != nil {
		return signed, err
	}
	if resp.StatusCode != http.StatusOK {
		return signed, fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return signed, json.Unmarshal(body, &signed)
}

// putReceipt writes a receipt where it is asked for.
func putReceipt(signed erasure.Signed, path string, out io.Writer) error {
	text, err := json.Marshal(signed)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if path == "" {
		_, err = out.Write(text)
		return err
	}
	return writeWhole(path, func(w io.Writer) error { _, err := w.Write(text); return err })
}

func tenantReceiptCommand() *cobra.Command {
	var tenant, key string
	cmd := &cobra.Command{
		Use:   "receipt FILE",
		Short: "Check the signature of a receipt, and say what it says",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			r, signed, err := erasure.Check(text)
			if err != nil {
				return err
			}
			if key != "" && key != signed.PublicKey {
				return errOtherKey
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "signed by %s\nerased between %s and %s: %d events, %d files of the log, %d files of the lake\n", signed.PublicKey,
				r.Began.Format("2006-01-02 15:04:05Z"), r.Ended.Format("2006-01-02 15:04:05Z"), r.Events, r.Log.Files, r.Lake.Files)
			if tenant == "" {
				return nil
			}
			if erasure.HashTenant(r.Salt, tenant) != r.Tenant {
				return fmt.Errorf("the receipt is not about %s", tenant)
			}
			_, err = fmt.Fprintf(out, "about the tenant %s\n", tenant)
			return err
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "check that the receipt is about this tenant")
	cmd.Flags().StringVar(&key, "key", "", "check that it is signed by this public key, base64")
	return cmd
}
