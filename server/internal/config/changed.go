package config

import "reflect"

// Changed returns the names of the settings in which a and b differ, in the order in
// which settings are printed. A secret key that was generated is not compared: it is
// another at each load.
func Changed(a, b Settings) []string {
	var names []string
	for _, f := range settings() {
		if f.name == "secret_key" && a.SecretKeyGenerated && b.SecretKeyGenerated {
			continue
		}
		// Both are the operator's own files: how long this takes tells nobody anything.
		if one, other := f.place(&a), f.place(&b); !reflect.DeepEqual(one, other) && !(isEmpty(one) && isEmpty(other)) {
			names = append(names, f.name)
		}
	}
	return names
}

// isEmpty reports whether place is of a list without entries: one that is written as []
// says what one that is not written does.
func isEmpty(place any) bool {
	v := reflect.ValueOf(place).Elem()
	return v.Kind() == reflect.Slice && v.Len() == 0
}
