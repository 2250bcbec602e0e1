from mvit.cli import main

raise SystemExit(main())
