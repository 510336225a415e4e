package schemas

var rowsOfMySQL, rowsOfSQLite []rowCase
