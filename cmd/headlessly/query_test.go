package main

import (
	"bytes"
	"strings"
	"testing"

	"headless.ly/api/client"
	"headless.ly/cmd/headlessly/server"
)

// command runs the program's command line.
func command(t *testing.T, endpoint string, args ...string) (string, error) {
	t.Helper()
	t.Setenv("HEADLESSLY_ENDPOINT", endpoint)
	t.Setenv("HEADLESSLY_TENANT", "acme")
	root := rootCommand()
	var out, messages bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&messages)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestQueryCommands(t *testing.T) {
	srv := openServer(t, server.Config{Data: t.TempDir()})
	c, err := client.New(client.Config{Endpoint: srv.URL(), Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.NewReader("name,value,stage\nOne,1000,Prospecting\n\"Two, too\",250.5,Prospecting\nThree,9,Won\n")
	if _, err := c.Import(t.Context(), client.Import{Type: "Deal", Format: client.CSV}, rows); err != nil {
		t.Fatal(err)
	}
	statement := "select stage, count(*) n, sum(value) total from deal where value > ? group by all order by 1"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"sql", statement, "--param", "100"}, "stage        n  total\nProspecting  2  1250.5\n"},
		{[]string{"sql", statement, "--param", "5", "--output", "json"},
			`{"stage":"Prospecting","n":2,"total":1250.5}` + "\n" + `{"stage":"Won","n":1,"total":9}` + "\n"},
		{[]string{"sql", "select name, null x from deal order by name", "--limit", "2", "--output", "csv"}, "name,x\r\nOne,\r\nThree,\r\n"},
		{[]string{"sql", "from deal", "--as-of", "2020-01-01", "--output", "json"}, ""},
		{[]string{"aggregate", "--type", "deals", "--group", "stage", "--metric", "n=count", "--metric", "p=quantile(value,0.5)", "--sort", "-n"},
			"stage        n  p\nProspecting  2  625.25\nWon          1  9\n"},
		{[]string{"aggregate", "--type", "Deal", "--filter", `{"value":{"$lt":500}}`, "--output", "csv"}, "count\n2\n"},
		{[]string{"aggregate", "--type", "Deal", "--group", "$createdAt:year", "--having", `{"count":{"$gt":5}}`, "--output", "json"}, ""},
	} {
		got, err := command(t, srv.URL(), test.args...)
		if err != nil || got != test.want {
			t.Errorf("%q:\n%s%v\nwant\n%s", test.args, got, err, test.want)
		}
	}
	_, err = command(t, srv.URL(), "sql", "select 1,\n nme from deal")
	if err == nil || !strings.HasSuffix(err.Error(), "\n   nme from deal\n   ^") {
		t.Errorf("the place of an error: %v", err)
	}
	for _, args := range [][]string{
		{"sql"}, {"sql", "select 1", "--output", "xml"}, {"sql", "drop table deal"}, {"aggregate"}, {"aggregate", "--type", "Deal", "--filter", "{"},
		{"aggregate", "--type", "Deal", "--metric", "=count"}, {"aggregate", "--type", "Nothing"},
	} {
		if got, err := command(t, srv.URL(), args...); err == nil {
			t.Errorf("%q: %s", args, got)
		}
	}
}
