module site-of-address

go 1.22
