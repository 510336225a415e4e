package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check"
)

// reports are what is held against the schemas: one with everything, each text hostile, a clean one and an empty one.
func reports() map[string]*check.Report {
	clean := &check.Report{Parts: []check.Part{{Name: "lint", Findings: []check.Finding{}}, {Name: "workload", Skipped: "no --workload"}}}
	nowhere := &check.Report{Parts: []check.Part{{Name: "release", Findings: []check.Finding{{Rule: "lock-held", Severity: check.Note, Message: "m"}}}}}
	return map[string]*check.Report{"hostile": hostileReport(), "clean": clean, "without a place": nowhere, "empty": {}}
}

// TestSchemas holds the reports against what those who read them have published.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for format, file := range map[string]string{"sarif": "sarif-schema-2.1.0.json", "gitlab": "gitlab-codequality.schema.json"} {
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		schema, err := c.Compile(filepath.Join("testdata", file))
		require.NoError(t, err)
		for name, r := range reports() {
			require.NoError(t, schema.Validate(parsed(t, written(t, format, r))), "%s: %s", format, name)
		}
		var broken any
		require.NoError(t, json.Unmarshal([]byte(`[{"runs": 1}]`), &broken))
		require.Error(t, schema.Validate(broken), "%s: the schema takes everything", format)
	}
}

// TestJUnitSchema holds the JUnit report against the schema of the plugin that reads it in Jenkins.
func TestJUnitSchema(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/junit-10.xsd")
	require.NoError(t, err)
	schema, err := readXSD(data)
	require.NoError(t, err)
	for name, r := range reports() {
		require.NoError(t, schema.validate(written(t, "junit", r)), name)
	}
	for _, broken := range []string{
		`<testsuites><testcase name="a"/></testsuites>`,
		`<testsuites><testsuite tests="1" failures="0" errors="0"/></testsuites>`,
		`<testsuites><testsuite name="a" tests="1" failures="0" errors="0" time="soon"/></testsuites>`,
		`<testsuites><testsuite name="a" tests="1" failures="0" errors="0">text</testsuite></testsuites>`,
		`<testsuites severity="error"></testsuites>`,
		`<report></report>`,
	} {
		require.Error(t, schema.validate([]byte(broken)), broken)
	}
}

func written(t *testing.T, format string, r *check.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, format, r))
	return b.Bytes()
}

func parsed(t *testing.T, data []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	return value
}
