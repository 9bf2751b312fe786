table inet f { chain i { type filter hook input priority 0; drop
}
}
