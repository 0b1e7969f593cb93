package query

import (
	"encoding/json"
	"fmt"
	"os"

	"headless.ly/query/engine"
)

// startProcess starts the process that the databases are in. It reaches the warehouse and the folder for spilling, nothing
// else.
func startProcess(cfg EngineConfig, all schemas) (*engine.Process, error) {
	if err := os.MkdirAll(cfg.Warehouse, 0o755); err != nil { // what is not there cannot be let in
		return nil, fmt.Errorf("open engine: %w", err)
	}
	limits := engine.Config{
		ReadOnly: []string{cfg.Warehouse}, MemoryMB: cfg.MaxProcessMB, Threads: cfg.Threads, Setup: all.declarations(), Logger: cfg.Logger,
	}
	if cfg.TempDir != "" {
		limits.ReadWrite = []string{cfg.TempDir}
	}
	return engine.Start(limits)
}

// ServeEngine is the process that an Engine starts: this program with engine.Command as its only argument. It returns when the
// server that started it has ended, or with what kept it from serving.
func ServeEngine() error { return engine.Serve(functions) }

// ServeIfStarted is ServeEngine in a program that was started as an engine; it then ends the program. In others it does nothing.
// Tests that open a Reader call it first, in TestMain.
func ServeIfStarted() {
	if !engine.Started() {
		return
	}
	if err := ServeEngine(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// functions are what the databases know beside DuckDB's own.
func functions(setup []byte) ([]engine.Function, error) {
	var all declarations
	if err := json.Unmarshal(setup, &all); err != nil {
		return nil, fmt.Errorf("read declarations: %w", err)
	}
	return []engine.Function{{Name: functionLift, Arity: 3, Call: func(args []string) (string, error) {
		return all.lift(args[0], args[1], args[2])
	}}}, nil
}
