from mvit.cli.main import main

raise SystemExit(main())
