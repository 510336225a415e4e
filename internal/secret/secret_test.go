package secret

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHide(t *testing.T) {
	s := Hide(map[string]string{
		"URL": "postgres://shop:p%40ssword@db/shop", "KEY": "abc def", "PEM": "BEGIN\nsecretline\nEND", "LONG": "abc defgh", "N": "1",
	})
	require.Equal(t, "to $URL as $URL or $URL with $KEY, $KEY, $PEM; $LONG; 1 of 1",
		s.Text("to postgres://shop:p%40ssword@db/shop as p@ssword or p%40ssword with abc def, abc+def, secretline; abc defgh; 1 of 1"))
	err := s.In(errors.Join(errors.ErrUnsupported, errors.New("abc def")))
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.NotContains(t, err.Error(), "abc def")
}
